;; A plugin for a version of the interface that the gateway does not have.
(component
  (instance $hooks)
  (export "gateway:plugin/hooks@9.9.9" (instance $hooks)))
