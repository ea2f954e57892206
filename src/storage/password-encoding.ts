const hostForm = String.raw`(?:\[[^\]@]*\]|[^:@/?#,[\]]*)(?::\d*)?`;
const hosts = `${hostForm}(?:,${hostForm})*(?:[/?#]|$)`;
const encodedForm = new RegExp(String.raw`^(postgres(?:ql)?:\/\/[^:@/?#]*:)([^:@/?#]*)(@${hosts}.*)$`, 's');
const withoutPassword = new RegExp(String.raw`^postgres(?:ql)?:\/\/(?:[^:@/?#]*@)?${hosts}`);
const reservedForm = /^(postgres(?:ql)?:\/\/[^:@/?#]*:)(.*)(@[^@]*)$/s;

/** A password may hold characters that a URL reserves; what is percent-encoded already stays. */
export function withPasswordEncoded(text: string): string {
  const found = encodedForm.exec(text) ?? (withoutPassword.test(text) ? null : reservedForm.exec(text));
  if (found === null) return text;
  const [, before = '', password = '', after = ''] = found;
  return `${before}${password.replaceAll(/%(?![\da-f]{2})|[^%\w.~!*'()-]/giu, (part) => encodeURIComponent(part))}${after}`;
}
