import qrcode from 'qrcode-generator';

/** A QR code: how many cells it is wide and high, and the dark ones as one SVG path. */
export type QrCode = { size: number; path: string };

/** Draws a text as a QR code (ISO/IEC 18004) that may be a seventh unreadable. */
export function toQrCode(text: string): QrCode {
  const code = qrcode(0, 'M');
  code.addData(text);
  code.make();
  const size = code.getModuleCount();
  const cells = Array.from({ length: size * size }, (_, n) => [n % size, Math.floor(n / size)] as const);
  const path = cells.filter(([x, y]) => code.isDark(y, x)).map(([x, y]) => `M${x} ${y}h1v1h-1z`);
  return { size, path: path.join('') };
}
