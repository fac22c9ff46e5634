;; A component that wants an interface that the gateway does not have.
(component
  (import "gateway:plugin/telepathy@0.1.0" (instance $telepathy
    (export "read" (func (param "mind" string) (result string)))))
  (instance $hooks)
  (export "gateway:plugin/hooks@0.1.0" (instance $hooks)))
