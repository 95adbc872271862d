/** A path of this server, without the base path; anything else is the list of containers. */
export function ownPath(to: string): string {
  const isPath = /^\/[\x21-\x7e]*$/.test(to) && URL.canParse(to, 'http://own.invalid');
  if (!isPath) return '/containers';
  const { host, pathname, search } = new URL(to, 'http://own.invalid');
  // Dots are resolved by now: what begins with two slashes would be another host.
  const isOwn = host === 'own.invalid' && !/^\/(\/|(login|logout|setup)\b)/.test(pathname);
  return isOwn ? pathname + search : '/containers';
}

/** Where somebody whose password was right goes on, to come to a path of this server in the end. */
export const toSecond = (base: string, to: string): string =>
  `${base}/login/second${to === '/containers' ? '' : `?${new URLSearchParams({ to })}`}`;
