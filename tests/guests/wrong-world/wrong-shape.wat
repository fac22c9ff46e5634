;; The right interface by name, without a function in it.
(component
  (instance $hooks)
  (export "gateway:plugin/hooks@0.1.0" (instance $hooks)))
