/** The error catalogue of src/explain.ts as a page of its own, and as the README's index of that page. */
import { type Explained, explainedCatalogue } from '../../src/explain.ts';
import { isVerbatim } from '../../src/failure.ts';

const page = 'docs/troubleshooting.md';

/** Every error: a heading to link to, Azure's words to search for, and what a run would say. */
export function troubleshootingPage(): string {
  const sections = explainedCatalogue().map(({ group, entries }) =>
    [`## ${group}`, ...entries.map(section)].join('\n\n'),
  );
  return `# Troubleshooting

Generated from the catalogue that the action itself explains errors with (\`src/explain/\`). A run fills in its own values
where \`<client-id>\` and the like stand here. Search this page for Azure's code or words.

Every failure ends in one error that has these parts: what was being done, Azure's code, message and correlation ID, the
cause, who must act, and the command or URL to use. \`operation: check\` finds most of them before anything is created.

${sections.join('\n\n')}
`;
}

function section({ title, says, cause, who, fix }: Explained): string {
  return [
    `### ${title}`,
    `> ${escaped(says)}`,
    `**Cause:** ${escaped(cause)}`,
    `**Who must act:** ${escaped(who)}`,
    `**What to do:**\n\n${fix.map(step).join('\n')}`,
  ].join('\n\n');
}

function step(line: string): string {
  if (!isVerbatim(line)) return `- ${escaped(line)}`;
  return `  \`\`\`${line.startsWith('https:') ? 'text' : 'sh'}\n  ${line}\n  \`\`\``;
}

/** The codes, each linked to its explanation; errors without one by their titles. */
export function troubleshootingIndex(): string {
  return explainedCatalogue()
    .map(({ group, entries }) => {
      const anchors = new Map<string, string>();
      for (const { says, title } of entries) {
        const code = /^[A-Za-z]\w*(?=[:,]| \()/.exec(says)?.[0];
        const name = code === undefined ? title : `\`${code}\``;
        // Where one code means several things, the reader has to look at all of them.
        anchors.set(name, anchors.has(name) ? slug(group) : slug(title));
      }
      const links = [...anchors].map(([name, anchor]) => `[${name}](${page}#${anchor})`);
      return `- **${group}:** ${links.join(', ')}`;
    })
    .join('\n');
}

/** The anchor that GitHub gives a heading. */
export function slug(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replaceAll(/\s/g, '-');
}

/** Text outside code spans: placeholders must not be read as tags, nor stars as emphasis. */
function escaped(text: string): string {
  return text
    .split(/(`[^`]+`)/)
    .map((part) =>
      part.startsWith('`') ? part : part.replaceAll('<', '&lt;').replaceAll('*', String.raw`\*`),
    )
    .join('');
}
