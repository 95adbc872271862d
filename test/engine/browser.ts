import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';
import { MissingBrowser, MissingEngine } from './missing.ts';
import { installPackages } from './packages.ts';

const executablePath = '/usr/bin/chromium-headless-shell';

/** No graphics card, no sandbox for root, and no request of the browser's own to anywhere. */
const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/**
 * Starts Debian's Chromium, installed first where it is missing; throws MissingBrowser. Its headless shell draws no browser
 * around the page, which takes a third of the time of the processors.
 */
export async function launchBrowser(more: readonly string[] = []): Promise<Browser> {
  if (!existsSync(executablePath)) await installPackages(['chromium-headless-shell']).catch(asMissingBrowser);
  return chromium.launch({ executablePath, headless: true, args: [...flags, ...more] });
}

function asMissingBrowser(error: unknown): never {
  throw error instanceof MissingEngine ? new MissingBrowser(error.message, { cause: error }) : error;
}
