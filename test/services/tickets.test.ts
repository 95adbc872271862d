import t from 'tap';
import { createTickets } from '../../src/services/tickets.ts';

t.test('a ticket is good once, until its time is over', (t) => {
  let now = 0;
  const tickets = createTickets<string>({ lifeMs: 100, most: 10 }, () => now);
  const [one, two, three] = ['one', 'two', 'three'].map(tickets.give) as [string, string, string];
  t.match(one, /^[\w-]{43}$/);
  t.equal(new Set([one, two, three]).size, 3);
  t.equal(tickets.look(one), 'one');
  t.equal(tickets.take(one), 'one');
  t.equal(tickets.take(one), undefined);
  t.equal(tickets.look(one), undefined);
  t.equal(tickets.look('nothing'), undefined);
  now = 99;
  t.equal(tickets.look(two), 'two');
  now = 100;
  t.equal(tickets.look(two), undefined);
  t.equal(tickets.take(three), undefined);
  t.end();
});

t.test('of too many tickets the oldest go', (t) => {
  const tickets = createTickets<number>({ lifeMs: 100, most: 3 }, () => 0);
  const ids = [1, 2, 3, 4].map(tickets.give);
  t.same(ids.map(tickets.look), [undefined, 2, 3, 4]);
  t.end();
});
