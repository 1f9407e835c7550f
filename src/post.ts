/** The same bundle, with a mark: saved state is not enough, because a main step that was killed early has saved none. */
Reflect.set(globalThis, Symbol.for('cross-tenant-vm.post'), true);

try {
  await import('./index.ts');
} catch (error) {
  // The bundle is gone, so this cannot use anything of it. What the main step saved says what it may have created.
  const state = process.env['STATE_cleanup'] ?? '';
  const ids = [...new Set(state.match(/\/subscriptions\/[^"\\\s]+/g) ?? [])];
  const lines = [
    `Cleanup after the job did not run, because a file of this action cannot be loaded: ${String(error)}`,
    'A step of the job has deleted or replaced it. Check the action out again after that step.',
    ...(ids.length > 0
      ? ['A step with `operation: delete` and the `vm-name` of this step deletes what is left of:', ...ids]
      : []),
  ];
  process.stdout.write(
    `::error title=Cleanup did not run::${lines.join('\n').replaceAll('%', '%25').replaceAll('\n', '%0A')}\n`,
  );
  process.exitCode = 1;
}
