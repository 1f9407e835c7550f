Reflect.set(globalThis,Symbol.for("cross-tenant-vm.post"),!0);await import("./index.js");
