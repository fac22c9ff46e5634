//! A component whose instances can be put back into the state in which they were configured.
//!
//! All that an instance can remember is its linear memory, its mutable globals, its tables, which
//! segments it has dropped, and the handles that it holds. Owns whether that is all that there is, and
//! the exports that reach the first two: wasmtime shows neither of a component from outside. Handles
//! are counted by the host. Must not know when an instance is put back.

use std::collections::HashMap;

use wasm_encoder::reencode::{Reencode as _, RoundtripReencoder};
use wasm_encoder::{
    Alias, CanonicalOption, CodeSection, ComponentAliasSection, ComponentExportKind,
    ComponentExportSection, ComponentTypeSection, ConstExpr, EntityType, ExportKind, ExportSection,
    Function, FunctionSection, GlobalSection, ImportSection, MemArg, Module, ModuleArg,
    PrimitiveValType, RawSection, TypeSection, ValType,
};
use wasmparser::{
    CanonicalFunction, ComponentAlias, ComponentExternalKind, ComponentOuterAliasKind,
    ExternalKind, Instance, MemoryType, Operator, Parser, Payload, TypeRef,
};

/// Remembers the globals as they are now.
pub(in crate::plugin) const SAVE: &str = "gateway-save";
/// Puts them back.
pub(in crate::plugin) const LOAD: &str = "gateway-load";
/// The whole linear memory, as a list of bytes.
pub(in crate::plugin) const MEMORY: &str = "gateway-memory";

/// Beside the exports of a module.
const MEMORY_NAME: &str = "gateway-state:memory";
const GLOBAL_NAME: &str = "gateway-state:global-";

/// Why a component is not one of those.
type Reason = &'static str;

/// The component, with [`SAVE`], [`LOAD`] and [`MEMORY`].
///
/// # Errors
/// When its instances have a state that these do not reach, or are made in a way that is not known
/// here. Such an instance can only be made again.
pub(in crate::plugin) fn resettable(component: &[u8]) -> Result<Vec<u8>, Reason> {
    let mut read = Outline::default();
    let mut encoder = wasm_encoder::Component::new();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload.map_err(|_| "it is not valid")?;
        if depth == 0
            && let Some((id, range)) = payload.as_section()
        {
            let data = component.get(range).ok_or("it is not valid")?;
            if let Payload::ModuleSection { .. } = payload {
                let (data, state) = with_exports(data)?;
                encoder.section(&RawSection { id, data: &data });
                read.modules.push(state);
            } else {
                encoder.section(&RawSection { id, data });
            }
        }
        match payload {
            Payload::ModuleSection { .. } if depth > 0 => {
                return Err("it has modules in components");
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            payload if depth == 0 => read.take(&payload)?,
            // With an instance of a core module there, or functions for one, a component could keep
            // what is not reached.
            Payload::InstanceSection(_) | Payload::ComponentCanonicalSection(_) => {
                return Err("it has instances in components");
            }
            _ => {}
        }
    }
    read.finish(&mut encoder)?;
    Ok(encoder.finish())
}

/// What of a module can change while its instance runs.
struct State {
    /// The types of its mutable globals.
    globals: Vec<wasmparser::GlobalType>,
    memory: Option<MemoryType>,
}

/// A module that exports the memory and the mutable globals that it defines.
fn with_exports(module: &[u8]) -> Result<(Vec<u8>, State), Reason> {
    let mut state = State { globals: Vec::new(), memory: None };
    let mut added = Vec::new();
    let (mut imported_globals, mut imported_memories) = (0, 0);
    let mut defined = 0;
    for payload in Parser::new(0).parse_all(module) {
        match payload.map_err(|_| "it is not valid")? {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    match import.map_err(|_| "it is not valid")?.ty {
                        TypeRef::Global(_) => imported_globals += 1,
                        TypeRef::Memory(_) => imported_memories += 1,
                        TypeRef::Func(_) | TypeRef::Table(_) => {}
                        _ => return Err("it imports what is not known here"),
                    }
                }
            }
            Payload::MemorySection(memories) => {
                for memory in memories {
                    let memory = memory.map_err(|_| "it is not valid")?;
                    if memory.memory64 || memory.shared || memory.page_size_log2.is_some() {
                        return Err("its memory is of a kind that is not known here");
                    }
                    if state.memory.replace(memory).is_some() {
                        return Err("it has several memories");
                    }
                    added.push((MEMORY_NAME.to_owned(), ExportKind::Memory, imported_memories));
                }
            }
            Payload::GlobalSection(globals) => {
                for global in globals {
                    let ty = global.map_err(|_| "it is not valid")?.ty;
                    if ty.mutable {
                        if matches!(ty.content_type, wasmparser::ValType::Ref(_)) || ty.shared {
                            return Err("it has references in globals");
                        }
                        let name = format!("{GLOBAL_NAME}{}", state.globals.len());
                        added.push((name, ExportKind::Global, imported_globals + defined));
                        state.globals.push(ty);
                    }
                    defined += 1;
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    if export.map_err(|_| "it is not valid")?.name.starts_with("gateway-state:") {
                        return Err("it uses names of the gateway");
                    }
                }
            }
            Payload::TagSection(_) => return Err("it has exceptions"),
            Payload::CodeSectionEntry(body) => {
                let operators = body.get_operators_reader().map_err(|_| "it is not valid")?;
                for operator in operators {
                    check(&operator.map_err(|_| "it is not valid")?)?;
                }
            }
            _ => {}
        }
    }
    Ok((export(module, &added)?, state))
}

/// Tables and segments stay as they are, or could not be put back.
fn check(operator: &Operator<'_>) -> Result<(), Reason> {
    match operator {
        Operator::TableSet { .. }
        | Operator::TableGrow { .. }
        | Operator::TableFill { .. }
        | Operator::TableCopy { .. }
        | Operator::TableInit { .. }
        | Operator::TableAtomicSet { .. }
        | Operator::TableAtomicRmwXchg { .. }
        | Operator::TableAtomicRmwCmpxchg { .. }
        | Operator::ElemDrop { .. }
        | Operator::DataDrop { .. } => Err("it changes tables or drops segments"),
        _ => Ok(()),
    }
}

/// Adds exports to a module.
fn export(module: &[u8], added: &[(String, ExportKind, u32)]) -> Result<Vec<u8>, Reason> {
    let mut encoder = Module::new();
    let mut exports = ExportSection::new();
    let mut is_done = false;
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload.map_err(|_| "it is not valid")?;
        let Some((id, range)) = payload.as_section() else { continue };
        if let Payload::ExportSection(known) = &payload {
            for export in known.clone() {
                let export = export.map_err(|_| "it is not valid")?;
                let copied = RoundtripReencoder.parse_export(&mut exports, export);
                copied.map_err(|_| "its exports are not known here")?;
            }
        }
        // Exports come before starts, elements, counts of data, code and data.
        let is_behind = matches!(id, 7..=12);
        if is_behind && !is_done {
            for (name, kind, index) in added {
                exports.export(name, *kind, *index);
            }
            encoder.section(&exports);
            is_done = true;
        }
        if id != 7 {
            let data = module.get(range).ok_or("it is not valid")?;
            encoder.section(&RawSection { id, data });
        }
    }
    if !is_done && !added.is_empty() {
        return Err("it has no code");
    }
    Ok(encoder.finish())
}

/// Where each part of a component is.
#[derive(Default)]
struct Outline {
    modules: Vec<State>,
    /// By the index of a module, that of its instance.
    instances_of: HashMap<u32, u32>,
    core_instances: u32,
    core_functions: u32,
    core_memories: u32,
    types: u32,
    functions: u32,
}

impl Outline {
    fn take(&mut self, payload: &Payload<'_>) -> Result<(), Reason> {
        let invalid = |_| "it is not valid";
        match payload {
            Payload::InstanceSection(instances) => {
                for instance in instances.clone() {
                    if let Instance::Instantiate { module_index, .. } = instance.map_err(invalid)?
                        && self.instances_of.insert(module_index, self.core_instances).is_some()
                    {
                        return Err("it has several instances of a module");
                    }
                    self.core_instances += 1;
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases.clone() {
                    self.alias(&alias.map_err(invalid)?)?;
                }
            }
            Payload::ComponentCanonicalSection(functions) => {
                for function in functions.clone() {
                    match function.map_err(invalid)? {
                        CanonicalFunction::Lift { .. } => self.functions += 1,
                        // A handle that is dropped is known to the host, whose it is.
                        CanonicalFunction::Lower { .. }
                        | CanonicalFunction::ResourceDrop { .. } => {
                            self.core_functions += 1;
                        }
                        // Its own resources are memory outside of the instance, and so are tasks.
                        _ => return Err("it has its own resources or tasks"),
                    }
                }
            }
            Payload::ComponentImportSection(imports) => {
                for import in imports.clone() {
                    self.item(import.map_err(invalid)?.ty.kind())?;
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports.clone() {
                    self.item(export.map_err(invalid)?.kind)?;
                }
            }
            Payload::ComponentTypeSection(types) => self.types += types.count(),
            Payload::ComponentStartSection { .. } => return Err("it has a start function"),
            _ => {}
        }
        Ok(())
    }

    fn alias(&mut self, alias: &ComponentAlias<'_>) -> Result<(), Reason> {
        match alias {
            ComponentAlias::CoreInstanceExport { kind, .. } => match kind {
                ExternalKind::Func | ExternalKind::FuncExact => self.core_functions += 1,
                ExternalKind::Memory => self.core_memories += 1,
                ExternalKind::Table | ExternalKind::Global | ExternalKind::Tag => {}
            },
            ComponentAlias::InstanceExport { kind, .. } => self.item(*kind)?,
            ComponentAlias::Outer { kind, .. } => match kind {
                ComponentOuterAliasKind::Type => self.types += 1,
                ComponentOuterAliasKind::CoreType => {}
                ComponentOuterAliasKind::CoreModule | ComponentOuterAliasKind::Component => {
                    return Err("it has modules of elsewhere");
                }
            },
        }
        Ok(())
    }

    fn item(&mut self, kind: ComponentExternalKind) -> Result<(), Reason> {
        match kind {
            ComponentExternalKind::Func => self.functions += 1,
            ComponentExternalKind::Type => self.types += 1,
            ComponentExternalKind::Instance => {}
            ComponentExternalKind::Module
            | ComponentExternalKind::Component
            | ComponentExternalKind::Value => return Err("it has modules of elsewhere"),
        }
        Ok(())
    }

    /// Adds a module that reaches the state of all others, and the exports of the component.
    fn finish(&self, encoder: &mut wasm_encoder::Component) -> Result<(), Reason> {
        let mut reach = Reach::default();
        let mut arguments = Vec::new();
        let mut memory_of = None;
        for (index, state) in (0..).zip(&self.modules) {
            let Some(instance) = self.instances_of.get(&index) else { continue };
            if state.memory.is_none() && state.globals.is_empty() {
                continue;
            }
            let name = instance.to_string();
            if let Some(memory) = state.memory {
                if memory_of.replace(*instance).is_some() {
                    return Err("it has several memories");
                }
                reach.memory(&name, memory)?;
            }
            for (index, global) in state.globals.iter().enumerate() {
                reach.global(&name, &format!("{GLOBAL_NAME}{index}"), *global)?;
            }
            arguments.push((name, ModuleArg::Instance(*instance)));
        }
        let memory_of = memory_of.ok_or("it has no memory")?;
        encoder.section(&wasm_encoder::ModuleSection(&reach.finish()));
        let mut instances = wasm_encoder::InstanceSection::new();
        let module = u32::try_from(self.modules.len()).map_err(|_| "it is not valid")?;
        instances.instantiate(module, arguments.iter().map(|(name, it)| (name.as_str(), *it)));
        encoder.section(&instances);
        let mut aliases = ComponentAliasSection::new();
        for name in ["save", "load", "memory", "after-memory"] {
            let (instance, kind) = (self.core_instances, ExportKind::Func);
            aliases.alias(Alias::CoreInstanceExport { instance, kind, name });
        }
        let (kind, name) = (ExportKind::Memory, MEMORY_NAME);
        aliases.alias(Alias::CoreInstanceExport { instance: memory_of, kind, name });
        encoder.section(&aliases);
        let mut types = ComponentTypeSection::new();
        types.function().params::<_, PrimitiveValType>([]).result(None);
        types.defined_type().list(PrimitiveValType::U8);
        let bytes = wasm_encoder::ComponentValType::Type(self.types + 1);
        types.function().params::<_, PrimitiveValType>([]).result(Some(bytes));
        encoder.section(&types);
        let mut canonical = wasm_encoder::CanonicalFunctionSection::new();
        let first = self.core_functions;
        canonical.lift(first, self.types, []);
        canonical.lift(first + 1, self.types, []);
        let options =
            [CanonicalOption::Memory(self.core_memories), CanonicalOption::PostReturn(first + 3)];
        canonical.lift(first + 2, self.types + 2, options);
        encoder.section(&canonical);
        let mut exports = ComponentExportSection::new();
        for (index, name) in (self.functions..).step_by(1).zip([SAVE, LOAD, MEMORY]) {
            exports.export(name, ComponentExportKind::Func, index, None);
        }
        encoder.section(&exports);
        Ok(())
    }
}

/// The module that reaches the state of the others.
#[derive(Default)]
struct Reach {
    imports: ImportSection,
    /// Types of the globals that are imported.
    globals: Vec<wasm_encoder::GlobalType>,
}

impl Reach {
    fn memory(&mut self, instance: &str, memory: MemoryType) -> Result<(), Reason> {
        let ty =
            RoundtripReencoder.memory_type(memory).map_err(|_| "its memory is not known here")?;
        self.imports.import(instance, MEMORY_NAME, ty);
        Ok(())
    }

    fn global(
        &mut self,
        instance: &str,
        name: &str,
        global: wasmparser::GlobalType,
    ) -> Result<(), Reason> {
        let ty =
            RoundtripReencoder.global_type(global).map_err(|_| "its globals are not known here")?;
        self.imports.import(instance, name, EntityType::Global(ty));
        self.globals.push(ty);
        Ok(())
    }

    fn finish(&self) -> Module {
        let count = u32::try_from(self.globals.len()).unwrap_or(u32::MAX);
        let mut types = TypeSection::new();
        types.ty().function([], []);
        types.ty().function([], [ValType::I32]);
        types.ty().function([ValType::I32], []);
        let mut functions = FunctionSection::new();
        for ty in [0, 0, 1, 2] {
            functions.function(ty);
        }
        // One more for each that is imported, and one for what is where `memory` writes.
        let mut globals = GlobalSection::new();
        for ty in &self.globals {
            let zero = match ty.val_type {
                ValType::I64 => ConstExpr::i64_const(0),
                ValType::F32 => ConstExpr::f32_const(0.0_f32.into()),
                ValType::F64 => ConstExpr::f64_const(0.0_f64.into()),
                ValType::V128 => ConstExpr::v128_const(0),
                ValType::I32 | ValType::Ref(_) => ConstExpr::i32_const(0),
            };
            globals.global(*ty, &zero);
        }
        let kept =
            wasm_encoder::GlobalType { val_type: ValType::I64, mutable: true, shared: false };
        globals.global(kept, &ConstExpr::i64_const(0));
        let kept = 2 * count;
        let mut exports = ExportSection::new();
        for (index, name) in (0..).zip(["save", "load", "memory", "after-memory"]) {
            exports.export(name, ExportKind::Func, index);
        }
        let mut code = CodeSection::new();
        for is_load in [false, true] {
            let mut body = Function::new([]);
            let mut body_of = body.instructions();
            for index in 0..count {
                let (from, to) =
                    if is_load { (count + index, index) } else { (index, count + index) };
                body_of.global_get(from).global_set(to);
            }
            body_of.end();
            code.function(&body);
        }
        code.function(&memory(kept));
        code.function(&after_memory(kept));
        let mut module = Module::new();
        module.section(&types).section(&self.imports).section(&functions);
        module.section(&globals).section(&exports).section(&code);
        module
    }
}

const fn at(offset: u64) -> MemArg {
    MemArg { offset, align: 0, memory_index: 0 }
}

/// Returns the address of the address and the length of the memory, which it writes to the beginning
/// of the memory for a moment. A memory without a page traps.
fn memory(kept: u32) -> Function {
    let mut body = Function::new([]);
    let mut it = body.instructions();
    it.i32_const(0).i64_load(at(0)).global_set(kept);
    it.i32_const(0).i32_const(0).i32_store(at(0));
    it.i32_const(0).memory_size(0).i32_const(16).i32_shl().i32_store(at(4));
    it.i32_const(0).end();
    body
}

fn after_memory(kept: u32) -> Function {
    let mut body = Function::new([]);
    body.instructions().i32_const(0).global_get(kept).i64_store(at(0)).end();
    body
}

#[cfg(test)]
mod tests {
    use wasmtime::{Config, Engine, component::Component};

    use super::*;
    use crate::first_party::FIRST_PARTY;

    /// A component of one module with a memory, a table, a global, and a function that does this.
    fn of(body: impl FnOnce(&mut wasm_encoder::InstructionSink<'_>)) -> wasm_encoder::Component {
        let mut types = TypeSection::new();
        types.ty().function([], []);
        let mut functions = FunctionSection::new();
        functions.function(0);
        let mut tables = wasm_encoder::TableSection::new();
        let element_type = wasm_encoder::RefType::FUNCREF;
        let (table64, shared) = (false, false);
        let ty =
            wasm_encoder::TableType { element_type, table64, minimum: 1, maximum: None, shared };
        tables.table(ty);
        let mut memories = wasm_encoder::MemorySection::new();
        let (memory64, page_size_log2) = (false, None);
        let ty = wasm_encoder::MemoryType {
            minimum: 1,
            maximum: None,
            memory64,
            shared,
            page_size_log2,
        };
        memories.memory(ty);
        let mut globals = GlobalSection::new();
        let ty = wasm_encoder::GlobalType { val_type: ValType::I32, mutable: true, shared };
        globals.global(ty, &ConstExpr::i32_const(7));
        let mut code = CodeSection::new();
        let mut function = Function::new([]);
        let mut instructions = function.instructions();
        body(&mut instructions);
        instructions.end();
        code.function(&function);
        let mut module = Module::new();
        module.section(&types).section(&functions).section(&tables).section(&memories);
        module.section(&globals).section(&code);
        let mut component = wasm_encoder::Component::new();
        component.section(&wasm_encoder::ModuleSection(&module));
        let mut instances = wasm_encoder::InstanceSection::new();
        instances.instantiate::<_, &str>(0, []);
        component.section(&instances);
        component
    }

    #[test]
    fn a_component_with_a_state_that_is_not_reached_is_not_taken() {
        assert!(resettable(&of(|_| {}).finish()).is_ok());
        let tables = of(|it| {
            it.i32_const(0).ref_null(wasm_encoder::HeapType::FUNC).table_set(0);
        });
        assert_eq!(resettable(&tables.finish()), Err("it changes tables or drops segments"));
        let mut twice = of(|_| {});
        let mut instances = wasm_encoder::InstanceSection::new();
        instances.instantiate::<_, &str>(0, []);
        twice.section(&instances);
        assert_eq!(resettable(&twice.finish()), Err("it has several instances of a module"));
        let mut resources = of(|_| {});
        let mut types = ComponentTypeSection::new();
        types.resource(ValType::I32, None);
        resources.section(&types);
        let mut functions = wasm_encoder::CanonicalFunctionSection::new();
        functions.resource_new(0);
        resources.section(&functions);
        assert_eq!(resettable(&resources.finish()), Err("it has its own resources or tasks"));
        let mut inner = of(|_| {});
        inner.section(&wasm_encoder::NestedComponentSection(&of(|_| {})));
        assert_eq!(resettable(&inner.finish()), Err("it has modules in components"));
    }

    #[test]
    fn the_first_party_plugins_can_be_put_back() {
        let mut config = Config::new();
        config.concurrency_support(false);
        let engine = Engine::new(&config).expect("an engine");
        for plugin in FIRST_PARTY {
            let (name, bytes) = (plugin.name, plugin.component());
            let made = resettable(&bytes).unwrap_or_else(|why| panic!("{name}: {why}"));
            let component = Component::new(&engine, made).expect("it is valid");
            for export in [SAVE, LOAD, MEMORY] {
                assert!(component.get_export_index(None, export).is_some(), "{name} {export}");
            }
            assert!(resettable(&bytes[..bytes.len() - 1]).is_err(), "{name} is cut off");
        }
    }
}
