/** Renders the error catalogue as docs/troubleshooting.md and as the index in README.md. */
import { type DocumentedError, documentedErrors } from './documented-errors.ts';
import { isCommandOrUrl } from '../../src/errors/format-error.ts';

const page = 'docs/troubleshooting.md';

/** Renders every error with a heading to link to, Azure's text to search for, and the action's explanation. */
export function troubleshootingPage(): string {
  const sections = documentedErrors().map(({ group, entries }) =>
    [`## ${group}`, ...entries.map(section)].join('\n\n'),
  );
  return `# Troubleshooting

Generated from the error catalogue of the action. A run replaces placeholders such as \`<client-id>\` with its own values.
Search this page for Azure's error code or message.

Every failure ends in one error that states what failed, with Azure's code, message and correlation ID. For the errors
below it also states the cause, who must act, and the command or URL to use. \`operation: check\` finds most of them before anything is created.

${sections.join('\n\n')}
`;
}

function section({ title, says, cause, who, fix, source }: DocumentedError): string {
  return [
    `### ${title}`,
    `> ${escapeMarkdown(says)}`,
    `**Cause:** ${escapeMarkdown(cause)}`,
    `**Who must act:** ${escapeMarkdown(who)}`,
    `**What to do:**\n\n${fix.map(step).join('\n')}`,
    `Source: ${escapeMarkdown(source)}`,
  ].join('\n\n');
}

function step(line: string): string {
  if (!isCommandOrUrl(line)) return `- ${escapeMarkdown(line)}`;
  return `  \`\`\`${line.startsWith('https:') ? 'text' : 'sh'}\n  ${line}\n  \`\`\``;
}

/** Links each error code to its explanation; errors without a code by their title. */
export function troubleshootingIndex(): string {
  return documentedErrors()
    .map(({ group, entries }) => {
      const anchors = new Map<string, string>();
      for (const { says, title } of entries) {
        const code = /^[A-Za-z]\w*(?=[:,]| \()/.exec(says)?.[0];
        const name = code === undefined ? title : `\`${code}\``;
        // A code with several causes links to the group, so that readers see all of them.
        anchors.set(name, anchors.has(name) ? slug(group) : slug(title));
      }
      const links = [...anchors].map(([name, anchor]) => `[${name}](${page}#${anchor})`);
      return `- **${group}:** ${links.join(', ')}`;
    })
    .join('\n');
}

/** Returns the anchor that GitHub generates for a heading. */
export function slug(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replaceAll(/\s/g, '-');
}

/** Escapes text outside code spans, so that placeholders are not tags and asterisks are not emphasis. */
function escapeMarkdown(text: string): string {
  return text
    .split(/(`[^`]+`)/)
    .map((part) => (part.startsWith('`') ? part : part.replaceAll('<', '&lt;').replaceAll('*', String.raw`\*`)))
    .join('');
}
