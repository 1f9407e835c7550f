const listed = 10;

/** After the default reporter's lines: how far the run is, and in the end which tests took longest. */
export default class SlowestReporter {
  #files = 0;
  #failed = 0;
  #tests = [];

  onTestResult(file, { testResults }, { numTotalTestSuites }) {
    this.#files++;
    for (const { fullName, duration, status } of testResults) {
      if (status === 'failed') this.#failed++;
      this.#tests.push({ file: file.path, fullName, seconds: (duration ?? 0) / 1000 });
    }
    const failed = this.#failed > 0 ? `, ${this.#failed} failed` : '';
    process.stderr.write(`[${this.#files}/${numTotalTestSuites} files, ${this.#tests.length} tests${failed}]\n`);
  }

  onRunComplete() {
    const slowest = this.#tests.toSorted((one, other) => other.seconds - one.seconds).slice(0, listed);
    if (this.#files < 2) return;
    const lines = slowest.map(({ fullName, seconds }) => `${seconds.toFixed(1).padStart(6)} s  ${fullName}`);
    process.stderr.write(`\nSlowest tests:\n${lines.join('\n')}\n`);
  }
}
