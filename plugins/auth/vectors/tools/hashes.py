"""Password hashes made by argon2-cffi, bcrypt, Django and Werkzeug, one JSON object a line, for tests/auth/hashes.rs."""

import json
import sys
from importlib.metadata import version

import argon2
import bcrypt
from django.conf import settings
from django.contrib.auth.hashers import make_password
from werkzeug.security import generate_password_hash

PASSWORD = sys.argv[1]
settings.configure()


def say(tool, case, made):
    print(json.dumps({"tool": f"{tool} {version(tool)}", "case": case, "hash": made}))


say("argon2-cffi", "`PasswordHasher()`", argon2.PasswordHasher().hash(PASSWORD))
for kind in argon2.Type:
    made = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=2, type=kind).hash(PASSWORD)
    say("argon2-cffi", f"`Type.{kind.name}`, 1 MiB", made)
large = argon2.PasswordHasher(time_cost=1, memory_cost=512 * 1024).hash("another")
say("argon2-cffi", "512 MiB", large)

say("bcrypt", "`gensalt(5)`", bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(5)).decode())
say("bcrypt", "`prefix=b\"2a\"`", bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(5, b"2a")).decode())
made = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(5)).decode()
say("bcrypt", "a cost of 15", made.replace("$05$", "$15$"))

for hasher in ["argon2", "bcrypt", "bcrypt_sha256", "pbkdf2_sha256", "scrypt", "md5"]:
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.Argon2PasswordHasher",
        "django.contrib.auth.hashers.BCryptPasswordHasher",
        "django.contrib.auth.hashers.BCryptSHA256PasswordHasher",
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
        "django.contrib.auth.hashers.ScryptPasswordHasher",
        "django.contrib.auth.hashers.MD5PasswordHasher",
    ]
    say("Django", f"`{hasher}`", make_password(PASSWORD, hasher=hasher))

for method in ["scrypt", "pbkdf2"]:
    say("Werkzeug", f"`{method}`", generate_password_hash(PASSWORD, method=method))
