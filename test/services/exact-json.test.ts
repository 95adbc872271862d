import t from 'tap';
import { parseExact } from '../../src/services/exact-json.ts';

t.test('integers that do not fit a number are written as they were read', async (t) => {
  for (const text of [
    '{"Hard":9223372036854775807,"Soft":-9223372036854775808}',
    '[9007199254740993,18446744073709551615]',
    '9223372036854775807',
  ]) {
    t.equal(JSON.stringify(parseExact(text)), text);
    t.equal(JSON.stringify(parseExact(JSON.stringify(parseExact(text)))), text, 'also by way of the journal');
  }
});

t.test('everything else is read as ever', async (t) => {
  for (const text of ['{"a":1,"b":[1.5,-0,1e21,9007199254740991],"c":null,"d":"9223372036854775807"}', '""', 'true'])
    t.strictSame(parseExact(text), JSON.parse(text));
  t.throws(() => parseExact('{"a":'), SyntaxError);
});
