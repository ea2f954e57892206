/** The header `Upload-Metadata` of the tus protocol: pairs of a key and a value in base64, by comma. */
import { displayText } from '../protocol/model.ts';
import { ParleyError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';

const fileName = displayText(limits.attachmentNameLength);
const longest = 4096;

/** @throws {ParleyError} `invalid` @returns the name of the file */
export function fileNameIn(metadata: string | undefined): string {
  if (metadata === undefined) throw new ParleyError('invalid', 'Upload-Metadata: expected the key `filename`.');
  if (metadata.length > longest) throw new ParleyError('invalid', `Upload-Metadata: over ${longest} characters.`);
  const values = new Map(
    metadata.split(',').map((pair) => {
      const [key = '', value = ''] = pair.trim().split(' ');
      return [key, value];
    }),
  );
  const coded = values.get('filename') ?? values.get('name');
  if (coded === undefined || coded === '') {
    throw new ParleyError('invalid', 'Upload-Metadata: expected the key `filename`.');
  }
  return checkedName(Buffer.from(coded, 'base64').toString('utf8'));
}

/** A name that is a path could leave the folder of a reader that saves the file. */
function checkedName(text: string): string {
  const parsed = fileName.safeParse(text);
  if (!parsed.success)
    throw new ParleyError('invalid', `filename: ${parsed.error.issues[0]?.message ?? 'not a name'}.`);
  const name = parsed.data;
  if (/[/\\\uFFFD]/.test(name) || /^\.+$/.test(name)) {
    throw new ParleyError('invalid', 'filename: expected a name of a file without a path.');
  }
  return name;
}
