import type { Answer, TestApp } from './app.ts';

/** A browser that keeps its cookies, as far as signing in goes. */
export type Person = ReturnType<typeof createPerson>;

/** Creates a browser without scripts that has nothing yet. */
export function createPerson(app: Pick<TestApp, 'get' | 'form' | 'send'>) {
  const cookies = new Map<string, string>();

  function keep(answer: Answer): Answer {
    for (const cookie of (answer.headers['set-cookie'] ?? '').split('\n').filter(Boolean)) {
      const [name = '', value = ''] = (cookie.split(';')[0] ?? '').split('=');
      if (/max-age=0|expires=Thu, 01 Jan 1970/i.test(cookie)) cookies.delete(name);
      else cookies.set(name, value);
    }
    return answer;
  }

  const headers = (more: Record<string, string> = {}): Record<string, string> => ({
    ...(cookies.size > 0 && { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') }),
    ...more,
  });

  return {
    cookies,
    headers,
    get: async (path: string, more?: Record<string, string>) => keep(await app.get(path, headers(more))),
    form: async (path: string, fields: Record<string, string> = {}, more?: Record<string, string>) =>
      keep(await app.form(path, fields, headers(more))),
    json: async (method: string, path: string, body?: object, more?: Record<string, string>) =>
      keep(
        await app.send(
          method,
          path,
          headers({ ...(body && { 'content-type': 'application/json' }), ...more }),
          body && JSON.stringify(body),
        ),
      ),
    signIn: async (username: string, password: string) =>
      keep(await app.form('/login', { username, password }, headers())),
  };
}
