<?php
// Password hashes made by PHP, one JSON object a line, for tests/auth/hashes.rs.
$password = $argv[1];
$say = fn(string $case, string $hash) => print(json_encode([
    'tool' => 'PHP ' . PHP_MAJOR_VERSION . '.' . PHP_MINOR_VERSION, 'case' => $case, 'hash' => $hash,
]) . "\n");
$say('`PASSWORD_BCRYPT`', password_hash($password, PASSWORD_BCRYPT, ['cost' => 5]));
$say('`PASSWORD_ARGON2I`', password_hash($password, PASSWORD_ARGON2I, ['memory_cost' => 1024]));
$say('`PASSWORD_ARGON2ID`', password_hash($password, PASSWORD_ARGON2ID, ['memory_cost' => 1024]));
$say('`crypt` with `$6$`', crypt($password, '$6$saltsalt$'));
$say('`md5`', md5($password));
