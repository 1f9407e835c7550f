/** @type {import('jest').Config} */
export default {
  testMatch: ['<rootDir>/**/*.test.ts'],
  modulePathIgnorePatterns: ['<rootDir>/build/', '<rootDir>/dist/'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '\\.ts$': '<rootDir>/scripts/build/strip-types.js' },
  // Scenarios start a simulator and the action itself as a process. They mostly wait, so more of them run than there are
  // cores; the limit is for a test that hangs, not for a slow machine.
  maxWorkers: 4,
  testTimeout: 240_000,
};
