;; The right interface by name, with a function of another type.
(component
  (core module $code
    (func (export "describe") (result i32) i32.const 7))
  (core instance $code (instantiate $code))
  (func $describe (result u32) (canon lift (core func $code "describe")))
  (instance $hooks (export "describe" (func $describe)))
  (export "gateway:plugin/hooks@0.1.0" (instance $hooks)))
