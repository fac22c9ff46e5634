//! The first-party components as they are embedded: packed, beside the digest of what they are.
//!
//! Much of a component is in the others too: the SDK and the standard library. So each is packed as what differs from
//! one of them, which takes a third less than each alone. Owns the level and that one.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use zstd::stream::write::Encoder;
use zstd::zstd_safe::CParameter;

/// The plugin whose component is unpacked for each of the others: a small one has less in common with them, and a
/// large one takes longer to unpack.
const BASE: &str = "auth";
/// What ships takes seconds to pack. While the gateway is worked on, that is too long.
const LEVELS: [i32; 2] = [3, 19];
/// 8 MiB: a component and what it is packed against.
const WINDOW: u32 = 23;

/// Writes the components in `folder` packed into `out`. Returns a Rust expression: each with its name, digest and size.
pub(crate) fn table(names: &[String], folder: &Path, out: &Path, is_optimized: bool) -> String {
    let path = |name: &str| folder.join(format!("{}.wasm", name.replace('-', "_")));
    let base = read(&path(BASE));
    let level = LEVELS[usize::from(is_optimized)];
    let rows = names.iter().map(|name| {
        let component = read(&path(name));
        let is_base = name == BASE;
        let packed = packed(&component, if is_base { &[] } else { &base }, level);
        let file: PathBuf = out.join(format!("{name}.zst"));
        fs::write(&file, packed).expect("OUT_DIR is writable");
        let sum: [u8; 32] = Sha256::digest(&component).into();
        let base = (!is_base).then_some(BASE);
        format!(
            "    FirstParty {{ name: {name:?}, base: {base:?}, size: {}, sum: {sum:?}, packed: include_bytes!({file:?}) }},\n",
            component.len()
        )
    });
    format!("&[\n{}]\n", rows.collect::<String>())
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn packed(component: &[u8], base: &[u8], level: i32) -> Vec<u8> {
    assert!(component.len() + base.len() <= 1 << WINDOW, "a component is larger than WINDOW");
    let pack = || {
        let mut encoder = Encoder::with_ref_prefix(Vec::new(), level, base)?;
        encoder.set_pledged_src_size(u64::try_from(component.len()).ok())?;
        encoder.set_parameter(CParameter::WindowLog(WINDOW))?;
        encoder.write_all(component)?;
        encoder.finish()
    };
    pack().expect("memory takes what is packed")
}
