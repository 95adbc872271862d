// Plain JavaScript on purpose: an old Node could not even parse the TypeScript behind it.
const major = Number(process.versions.node.split('.')[0]);
if (major < 24) {
  console.error(
    `The demo needs Node 24 or later, this is ${process.versions.node}. ` +
      '"npm ci && npm run demo" brings its own on Linux x64; elsewhere install Node 24.',
  );
  process.exit(1);
}
const { runDemo } = await import('./demo.ts');
await runDemo(process.env);
