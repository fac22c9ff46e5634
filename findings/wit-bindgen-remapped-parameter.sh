#!/usr/bin/env bash
# A record that `wit_bindgen::generate!` is told to take from elsewhere (`with`) cannot be the parameter of an import
# if the record has a list or a string in it and `ownership` is `Borrowing`: the macro writes `Answer<'_>` for a
# type that has no lifetime, and rustc refuses the whole crate (E0107). As a result the same record is fine, so
# that a crate that compiled stops with the first function that takes what others return. The
# error points at the macro and names neither the function nor `with`. A record of a number alone is
# fine, and so are `Owning` and a record that the macro makes itself.
#
# Seen with wit-bindgen 0.61.1 and rustc 1.95.0; "no" is E0107, "struct takes 0 lifetime arguments":
#     record of       where       Owning  Borrowing  Borrowing without `with`
#     list<u8>        result      yes     yes        yes
#     list<u8>        parameter   yes     no         yes
#     string          parameter   yes     no         yes
#     u16             parameter   yes     yes        yes
set -euo pipefail
version=0.61.1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src wit
cat > Cargo.toml <<T
[package]
name = "remapped"
version = "0.0.0"
edition = "2024"

[dependencies]
wit-bindgen = { version = "=$version", default-features = false, features = ["macros", "realloc"] }
T

# Whether a record of one kind compiles in one place.
compiles() {
    local kind=$1 place=$2 ownership=$3 with=$4 rust
    case $kind in
        "list<u8>") rust="Vec<u8>" ;;
        string) rust=String ;;
        *) rust=$kind ;;
    esac
    case $place in
        result) echo "call: func() -> answer;" > function ;;
        *) echo "call: func(answer: answer);" > function ;;
    esac
    cat > wit/world.wit <<T
package test:remapped@0.1.0;
interface types { record answer { body: $kind } }
interface service { use types.{answer}; $(cat function) }
world guest { import service; }
T
    {
        echo "pub struct Answer { pub body: $rust }"
        echo "wit_bindgen::generate!({ path: \"wit\", world: \"guest\", ownership: $ownership,"
        [ "$with" = yes ] && echo "with: { \"test:remapped/types@0.1.0/answer\": crate::Answer },"
        echo "});"
    } > src/lib.rs
    if cargo check --quiet > said 2>&1; then
        echo yes
    elif grep -q "E0107" said && grep -q "struct takes 0 lifetime arguments" said; then
        echo no
    else
        cat said >&2
        echo "another error"
    fi
}

borrowing="Borrowing { duplicate_if_necessary: true }"
expected="list<u8> result yes yes yes
list<u8> parameter yes no yes
string parameter yes no yes
u16 parameter yes yes yes"
seen=$(while read -r kind place _; do
    echo "$kind $place $(compiles "$kind" "$place" Owning yes) $(compiles "$kind" "$place" "$borrowing" yes)" \
        "$(compiles "$kind" "$place" "$borrowing" no)"
done <<<"$expected")
echo "$seen"
[ "$seen" = "$expected" ] || {
    echo "wit-bindgen $version behaves otherwise than noted" >&2
    exit 1
}
