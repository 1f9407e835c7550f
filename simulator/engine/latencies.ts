/**
 * Durations of operations in seconds, from recorded traffic of public repositories (about 71,500 writes):
 * `suggestedSimulatorLatencies` of `__tests__/fixtures/timings.json`.
 * Lower quartiles are `serverSeconds`, or half the median where only the client's polling was recorded.
 */
export interface Latency {
  readonly p25: number;
  readonly median: number;
  readonly p90: number;
}

const entry = (median: number, p90: number, p25 = median / 2): Latency => ({ p25, median, p90 });

export const recordedLatencies: Readonly<Record<string, Latency>> = {
  nsgPut: entry(1, 5),
  vnetPut: entry(2, 11),
  subnetPut: entry(1, 4),
  publicIpPut: entry(1, 3),
  nicPut: entry(0, 2),
  vmPutLinux: entry(41, 82, 33.6),
  vmPutWindows: entry(74, 201, 69.3),
  vmDelete: entry(30, 46, 0.7),
  nicDelete: entry(5, 11),
  nsgDelete: entry(5, 11),
  publicIpDelete: entry(5, 22),
  vnetDelete: entry(5, 12),
  subnetDelete: entry(5, 12),
  diskDelete: entry(0.2, 0.3, 0.2),
  diskPut: entry(0.2, 0.3, 0.1),
  galleryImageVersionPut: entry(428, 541, 406.2),
  runCommand: entry(16, 46, 14.4),
  roleAssignmentPut: entry(1, 3),
  userAssignedIdentityPut: entry(1, 3),
  principalVisible: entry(30.5, 85, 18),
  // Recorded for a group with the leftovers of a VM: 132 s. The median is an assumption.
  groupDelete: entry(60, 132),
};
