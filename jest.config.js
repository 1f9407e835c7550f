/** @type {import('jest').Config} */
export default {
  testMatch: ['<rootDir>/**/*.test.ts'],
  modulePathIgnorePatterns: ['<rootDir>/build/', '<rootDir>/dist/'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '<rootDir>/(simulator|scripts/action-runner)/.*\\.ts$': '<rootDir>/scripts/jest/native-modules.js',
    '\\.ts$': '<rootDir>/scripts/jest/strip-types.js',
  },
  testEnvironment: '<rootDir>/scripts/jest/environment.js',
  // Scenarios start a simulator and the action itself as a process. They mostly wait, so more of them run than there are
  // cores; the limit is for a test that hangs, not for a slow machine.
  maxWorkers: 4,
  globalSetup: '<rootDir>/scripts/jest/global-setup.js',
  testSequencer: '<rootDir>/scripts/jest/sequencer.js',
  reporters: ['default', '<rootDir>/scripts/jest/slowest-reporter.js'],
  testTimeout: 240_000,
};
