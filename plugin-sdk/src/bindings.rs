//! The code that is generated from `wit/`, fenced off: nothing else is here.
#![allow(
    missing_docs,
    unsafe_code,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "generated code calls across the border and documents nothing"
)]

wit_bindgen::generate!({
    path: "../wit",
    world: "plugin-in-place",
    ownership: Borrowing { duplicate_if_necessary: true },
    with: {
        "gateway:plugin/types@0.1.0/attribute": crate::wire::Attribute,
        "gateway:plugin/types@0.1.0/field": crate::wire::Field,
        "gateway:plugin/types@0.1.0/field-edit": crate::wire::FieldEdit,
        "gateway:plugin/types@0.1.0/response": crate::wire::Response,
        "gateway:plugin/types@0.1.0/body-mode": crate::wire::BodyMode,
    },
    pub_export_macro: true,
    export_macro_name: "export_hooks",
});
