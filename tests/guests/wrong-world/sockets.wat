;; A component that wants sockets.
(component
  (import "wasi:sockets/tcp-create-socket@0.2.0" (instance $sockets
    (export "open" (func (result u32)))))
  (instance $hooks)
  (export "gateway:plugin/hooks@0.1.0" (instance $hooks)))
