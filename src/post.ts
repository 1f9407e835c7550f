/**
 * Entry of the post step: the same bundle, told which step it is. What the main step saved cannot tell it alone: a main
 * step that was killed before it saved anything leaves a post step that looks like a fresh start, and would create a
 * machine at the end of a cancelled job.
 */
Reflect.set(globalThis, Symbol.for('cross-tenant-vm.post'), true);

await import('./index.ts');
