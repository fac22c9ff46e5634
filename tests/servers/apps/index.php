<?php
$path = $_SERVER["REQUEST_URI"];
if (str_starts_with($path, "/early")) { http_response_code(401); echo "denied"; return; }
echo $path === "/echo" ? "said " . file_get_contents("php://input") : "text of $path";
