import * as core from '@actions/core';
import { plainText } from '../lib/escape.ts';

/** One stage of the run, for the timeline of the summary. Milliseconds since the start of the run. */
export interface StageTiming {
  readonly title: string;
  readonly from: number;
  readonly to: number;
  readonly failed: boolean;
}

export interface LogWriter {
  debug(line: string): void;
  info(line: string): void;
  notice(line: string): void;
  warning(line: string): void;
}

/**
 * Lines of the log may quote what others chose: names, tags, messages. None of them may speak to the runner, which takes
 * a line that begins with `::` as a command, and the older `##[` anywhere in it.
 * https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs
 */
export function escapeWorkflowCommands(text: string): string {
  return plainText(text)
    .replaceAll(/^(\s*):(?=:)/gm, '$1:\u200B')
    .replaceAll('##[', '##\u200B[');
}

/** GitHub stores 4 KB of an annotation, and cuts anywhere. */
const maxAnnotationBytes = 4000;

/** The whole lines of a message that fit in an annotation. */
export function limitAnnotation(message: string): string {
  const text = plainText(message);
  if (Buffer.byteLength(text) <= maxAnnotationBytes) return text;
  const note = '… (continued in the log)';
  const space = new Uint8Array(maxAnnotationBytes - Buffer.byteLength(`\n${note}`));
  let cut = text.slice(0, new TextEncoder().encodeInto(text, space).read);
  const end = cut.lastIndexOf('\n');
  if (end > maxAnnotationBytes / 2) cut = cut.slice(0, end);
  return `${cut}\n${note}`;
}

/** What does not fit in an annotation is in the log. */
export function annotate(line: string, write: (text: string) => void): void {
  const shown = limitAnnotation(line);
  if (shown !== line) runnerLog.info(line);
  write(shown);
}

export const runnerLog: LogWriter = {
  debug: (line) => core.debug(line),
  info: (line) => core.info(escapeWorkflowCommands(line)),
  notice: (line) => annotate(line, core.notice),
  warning: (line) => annotate(line, core.warning),
};

export const logGroup = <T>(title: string, work: () => Promise<T>): Promise<T> => core.group(title, work);

export const maskInLogs = (secret: string): void => core.setSecret(secret);
