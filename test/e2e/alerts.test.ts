import t from 'tap';
import { engineVersionsInTurn } from '../engine/engine.ts';
import { startReceiver } from '../support/receivers.ts';
import { freshName, looksGood, openTab, startWorld, until } from './support.ts';

const alone = ['--network=none', '--stop-timeout=0'];

type Body = { title: string; alerts: { container: string; exitCode?: number; lastLines: string[] }[] };

for (const version of engineVersionsInTurn(1)) {
  t.test(`Alerts on engine ${version}`, async (t) => {
    const world = await startWorld(t, { version, env: { ALERT_PRIVATE_TARGETS: '127.0.0.0/8' } });
    if (!world) return;
    const { engine, browser, at } = world;
    const receiver = await startReceiver(t);
    const name = freshName('doomed');
    const end = (code: number) =>
      engine.run(name, { options: alone, command: ['sh', '-c', `echo about to fail; sleep 1; exit ${code}`] });
    const bodies = () => receiver.got.map(({ body }) => body as unknown as Body);

    await t.test('a channel and a rule are added, a container dies, and all see it', async (t) => {
      const tab = await openTab(browser, at('/alerts'));
      const { page } = tab;
      await page.getByText('Add a channel').click();
      await page.getByRole('link', { name: 'Webhook' }).click();
      await page.getByLabel('Name').fill('Chat');
      await page.getByLabel('Address').fill('http://169.254.169.254/latest');
      await page.getByRole('button', { name: 'Add channel' }).click();
      await page.locator('#failures').getByText('does not lead to public addresses only').waitFor();
      t.equal(await page.getByLabel('Name').inputValue(), 'Chat', 'the form stays as it was');
      await page.locator('.label:has([name=url][aria-invalid]:focus) .field-fault').waitFor();
      await page.getByLabel('Address').fill(`${receiver.url}/T0PSECRET`);
      await page.getByLabel('Last log lines').fill('5');
      await page.getByRole('button', { name: 'Add channel' }).click();
      await page.getByText('Channel Chat was added.').waitFor();
      await page.getByRole('button', { name: 'Test channel Chat' }).click();
      await page.getByText('Test of Chat: The target took it (204).').waitFor();
      t.equal(bodies()[0]?.title, 'Test from Fairlead');

      await page.getByText('Add a rule').click();
      await page.getByRole('link', { name: 'A container died' }).click();
      await page.getByLabel('With names like').fill(`*${name}`);
      t.ok(await page.getByLabel('Chat (Webhook)').isChecked());
      await page.getByRole('button', { name: 'Add rule' }).click();
      await page.getByText('Rule A container died was added.').waitFor();
      await tab.untilLive();

      await end(3);
      await tab.sees('#alerts-firing [data-firing]');
      t.match(await page.locator('#alerts-firing').innerText(), /ended with code 3/);
      await until('it is told', () => receiver.got.length > 1);
      const [alert] = bodies()[1]?.alerts ?? [];
      t.match(alert, { exitCode: 3, lastLines: ['about to fail'] });
      t.ok(alert?.container.includes(name));
      await page.locator('#alerts-sent').getByText('ended with code 3').waitFor();
      await looksGood(t, tab);
      t.notMatch(await page.content(), /T0PSECRET/);
      await page.locator('#alerts-firing a').click();
      await page.locator('[data-event="firing"]').waitFor();
      t.match(await page.locator('#events').innerText(), /Alert: A container died/, 'it is in the timeline');
      await tab.close();
    });

    await t.test('without scripts all of it works as well', async (t) => {
      const tab = await openTab(browser, at('/alerts'), { javaScriptEnabled: false, live: false });
      const { page } = tab;
      await page.getByRole('button', { name: 'Switch off rule A container died' }).click();
      await page.getByText('Rule A container died was switched off.').waitFor();
      await page.getByText('Add a rule').click();
      await page.getByRole('link', { name: 'A log line matches' }).click();
      await page.getByLabel('The line has to hold').fill('((');
      await page.getByLabel('As a regular expression').check();
      await page.getByRole('button', { name: 'Add rule' }).click();
      await page.getByText('pattern: is not a regular expression').waitFor();
      await page.goBack();
      await page.getByLabel('The line has to hold').fill('oh n[o]');
      await page.getByRole('button', { name: 'Add rule' }).click();
      await page.getByText('Rule A log line matches was added.').waitFor();
      const talker = freshName('talker');
      await engine.run(talker, { options: alone, command: ['sh', '-c', 'echo oh no; sleep 100000'] });
      await until('the line is told', () => bodies().some(({ title }) => /wrote: oh no/.test(title)));
      await page.reload();
      t.match(await page.locator('#alerts-firing').innerText(), /wrote: oh no/);
      await page.getByRole('button', { name: 'Test channel Chat' }).click();
      await page.getByText('Test of Chat: The target took it (204).').waitFor();
      await page.getByRole('link', { name: 'Chat', exact: true }).click();
      await page.getByRole('button', { name: 'Remove this channel' }).click();
      await page.getByText('Channel Chat was removed.').waitFor();
      await tab.close();
    });
  });
}
