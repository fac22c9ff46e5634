// Password hashes made by bcryptjs and node-argon2, one JSON object a line, for tests/auth/hashes.rs.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [password, folder] = process.argv.slice(2);
const require = createRequire(`${folder}/`);
const version = (name) => JSON.parse(readFileSync(`${folder}/node_modules/${name}/package.json`)).version;
const say = (tool, name, kind, hash) => console.log(JSON.stringify({ tool: `${tool} ${version(name)}`, case: kind, hash }));

const bcrypt = require("bcryptjs");
say("bcryptjs", "bcryptjs", "`hash(password, 5)`", bcrypt.hashSync(password, 5));

const argon2 = require("argon2");
say("node-argon2", "argon2", "`hash(password)`", await argon2.hash(password));
say("node-argon2", "argon2", "`argon2d`, 4 MiB", await argon2.hash(password, { type: argon2.argon2d, memoryCost: 4096 }));
