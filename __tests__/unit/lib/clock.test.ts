import { afterEach, describe, expect, jest, test } from '@jest/globals';
import {
  clockSeconds,
  parseTimeScale,
  setTimeScale,
  startAnswerTimer,
  startTimer,
  timeoutSignal,
} from '../../../src/lib/clock.ts';

describe('parseTimeScale', () => {
  test.each([
    ['1.0', 1],
    ['0.5', 0.5],
    ['0.001', 0.001],
  ])('accepts %s', (text, scale) => {
    expect(parseTimeScale(text)).toBe(scale);
  });

  test.each(['', '0', '0.0', '0.0009', '-0.5', '1.5', '2', '10', '1e-2', '.5', '0,5', ' 0.5', 'NaN', 'Infinity'])(
    'ignores %j',
    (text) => {
      expect(parseTimeScale(text)).toBe(1);
    },
  );

  test('leaves waits alone when the variable is absent', () => {
    expect(parseTimeScale(undefined)).toBe(1);
  });
});

describe('the clock', () => {
  afterEach(() => {
    setTimeScale(undefined);
    jest.useRealTimers();
  });

  test.each([
    ['1.0', 100_000],
    ['0.01', 1000],
    ['7.0', 100_000],
  ])('at scale %s ends a wait of 100 s after %d ms', (scale, ms) => {
    jest.useFakeTimers();
    setTimeScale(scale);
    let ended = false;
    const start = clockSeconds();
    startTimer(100, () => {
      ended = true;
    });
    const limit = timeoutSignal(100);
    jest.advanceTimersByTime(ms - 1);
    expect([ended, limit.aborted]).toEqual([false, false]);
    jest.advanceTimersByTime(1);
    expect([ended, limit.aborted, limit.reason.name]).toEqual([true, true, 'TimeoutError']);
    expect(limit.reason.message).toBe('The time limit of 2 min was reached.');
    expect(clockSeconds() - start).toBeCloseTo(100);
  });

  test.each(['1.0', '0.001'])('at scale %s gives an answer its full time', (scale) => {
    jest.useFakeTimers();
    setTimeScale(scale);
    const givenUp = jest.fn();
    startAnswerTimer(90, givenUp);
    jest.advanceTimersByTime(89_999);
    expect(givenUp).not.toHaveBeenCalled();
    jest.advanceTimersByTime(1);
    expect(givenUp).toHaveBeenCalledTimes(1);
  });
});
