//! How large a component is, and of what.
//!
//! Owns the walk over the sections of a binary: a component holds core modules and components in
//! its own sections. What is checked here has been validated; where the walk loses its way all
//! the same, the rest counts as what it is in. Must not judge what it finds.

/// The size of a component, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// The whole.
    pub total: usize,
    /// Code of functions.
    pub code: usize,
    /// Data that memories begin with.
    pub data: usize,
    /// Names of functions, for backtraces that can be read.
    pub names: usize,
    /// Debug information (DWARF), which only `gateway dev` uses.
    pub debug: usize,
}

/// How much there is to compile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// Functions of all core modules.
    pub(super) functions: usize,
    /// The largest of them, in bytes of code.
    pub(super) largest_function: usize,
    /// Types of all core modules and components.
    pub(super) types: usize,
}

/// Version and layer, after the magic number.
const MODULE: [u8; 4] = [1, 0, 0, 0];

/// Sections of a core module.
const CUSTOM: u8 = 0;
const TYPE: u8 = 1;
const CODE: u8 = 10;
const DATA: u8 = 11;
/// Sections of a component that hold another binary.
const CORE_MODULE: u8 = 1;
const COMPONENT: u8 = 4;
const CORE_TYPE: u8 = 3;
const COMPONENT_TYPE: u8 = 7;

/// Adds up the sections of a binary.
pub(super) fn size(binary: &[u8]) -> Size {
    let mut size = Size { total: binary.len(), ..Size::default() };
    walk(binary, &mut size);
    size
}

/// Adds up what there is to compile in a binary.
pub(super) fn shape(binary: &[u8]) -> Shape {
    let mut shape = Shape::default();
    count(binary, &mut shape);
    shape
}

fn count(binary: &[u8], shape: &mut Shape) {
    let Some((head, mut rest)) = binary.split_at_checked(8) else { return };
    let is_module = head[4..] == MODULE;
    while let Some((id, content, after)) = section(rest) {
        match (is_module, id) {
            (true, TYPE) | (false, CORE_TYPE | COMPONENT_TYPE) => {
                shape.types += number(content).map_or(0, |(count, _)| count);
            }
            (true, CODE) => functions(content, shape),
            (false, CORE_MODULE | COMPONENT) => count(content, shape),
            _ => {}
        }
        rest = after;
    }
}

fn functions(code: &[u8], shape: &mut Shape) {
    let Some((count, mut rest)) = number(code) else { return };
    shape.functions += count;
    while let Some((length, body)) = number(rest) {
        shape.largest_function = shape.largest_function.max(length);
        let Some((_, after)) = body.split_at_checked(length) else { return };
        rest = after;
    }
}

/// Whether the bindings of a core module left the description of its world in it, from which a
/// component can be made.
pub(super) fn describes_world(module: &[u8]) -> bool {
    let mut rest = module.get(8..).unwrap_or_default();
    while let Some((id, content, after)) = section(rest) {
        if id == CUSTOM && name(content).is_some_and(|name| name.starts_with(b"component-type")) {
            return true;
        }
        rest = after;
    }
    false
}

fn walk(binary: &[u8], size: &mut Size) {
    let Some((head, mut rest)) = binary.split_at_checked(8) else { return };
    let is_module = head[4..] == MODULE;
    while let Some((id, content, after)) = section(rest) {
        let whole = rest.len() - after.len();
        match (is_module, id) {
            (_, CUSTOM) => match name(content) {
                Some(b"name") => size.names += whole,
                Some(name) if name.starts_with(b".debug_") => size.debug += whole,
                _ => {}
            },
            (true, CODE) => size.code += whole,
            (true, DATA) => size.data += whole,
            (false, CORE_MODULE | COMPONENT) => walk(content, size),
            _ => {}
        }
        rest = after;
    }
}

/// The next section: its id, its content, and what follows it.
fn section(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (id, rest) = bytes.split_first()?;
    let (length, rest) = number(rest)?;
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*id, content, rest))
}

/// The name of a custom section, or of a component's own name section.
fn name(content: &[u8]) -> Option<&[u8]> {
    let (length, rest) = number(content)?;
    let name = rest.get(..length)?;
    Some(if name == b"component-name" { b"name" } else { name })
}

/// An unsigned number in LEB128, of at most 32 bits.
fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, &bytes[index + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section_of(id: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).expect("a short section");
        [&[id, length | 0x80, 0][..], content].concat()
    }

    #[test]
    fn finds_the_sections_of_a_module_inside_of_a_component() {
        let names = section_of(CUSTOM, b"\x04nameABC");
        let debug = section_of(CUSTOM, b"\x0b.debug_infoABCDE");
        let other = section_of(CUSTOM, b"\x09producers1");
        let code = section_of(CODE, &[7; 20]);
        let module = [b"\0asm\x01\0\0\0", &code[..], &names, &debug, &other].concat();
        let inner = [b"\0asm\x0d\0\x01\0", &section_of(CORE_MODULE, &module)[..]].concat();
        let own = section_of(CUSTOM, b"\x0ecomponent-nameA");
        let outer = [b"\0asm\x0d\0\x01\0", &section_of(COMPONENT, &inner)[..], &own].concat();
        assert_eq!(
            size(&outer),
            Size {
                total: outer.len(),
                code: code.len(),
                data: 0,
                names: names.len() + own.len(),
                debug: debug.len()
            }
        );
    }

    #[test]
    fn counts_functions_and_types_wherever_they_are() {
        // Two functions of three and five bytes; one type of a module, two of a component.
        let code = section_of(CODE, b"\x02\x03abc\x05abcde");
        let types = section_of(TYPE, b"\x01\x60\0\0");
        let module = [b"\0asm\x01\0\0\0", &types[..], &code].concat();
        let inner = [b"\0asm\x0d\0\x01\0", &section_of(CORE_MODULE, &module)[..]].concat();
        let own = section_of(COMPONENT_TYPE, b"\x02\x40\0\x01\0\x40\0\x01\0");
        let outer = [b"\0asm\x0d\0\x01\0", &own[..], &section_of(COMPONENT, &inner)].concat();
        let found = shape(&outer);
        assert_eq!(found, Shape { functions: 2, largest_function: 5, types: 3 });
    }

    #[test]
    fn finds_the_description_of_a_world() {
        let world = section_of(CUSTOM, b"\x16component-type:plugin1ABC");
        let code = section_of(CODE, &[7; 20]);
        let module = |sections: &[&[u8]]| [b"\0asm\x01\0\0\0", &sections.concat()[..]].concat();
        assert!(describes_world(&module(&[&code, &world])));
        assert!(!describes_world(&module(&[&code])));
        assert!(!describes_world(&module(&[&code, &world[..5]])));
        assert!(!describes_world(b"\0asm"));
    }

    #[test]
    fn counts_what_is_whole_of_a_binary_that_is_cut_off() {
        let code = section_of(CODE, &[7; 20]);
        let mut module = [b"\0asm\x01\0\0\0", &code[..]].concat();
        module.extend([DATA, 100, 1, 2, 3]);
        let found = size(&module);
        assert_eq!((found.code, found.data), (code.len(), 0));
        assert_eq!(size(b"\0as"), Size { total: 3, ..Size::default() });
    }
}
