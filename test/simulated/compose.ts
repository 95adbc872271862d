/** What a Compose file says about one service of a project. */
export interface ComposeService {
  readonly project: string;
  readonly service: string;
  /** Which of several copies; default 1. */
  readonly number?: number;
  /** As Compose writes it: `db:service_healthy:false,cache:service_started:false`. */
  readonly dependsOn?: string;
}

/** The labels that Compose v2 puts on a container. */
export function composeLabels({
  project,
  service,
  number = 1,
  dependsOn = '',
}: ComposeService): Record<string, string> {
  const folder = `/srv/${project}`;
  return {
    'com.docker.compose.config-hash': toHash(`${project}/${service}`),
    'com.docker.compose.container-number': String(number),
    'com.docker.compose.depends_on': dependsOn,
    'com.docker.compose.image': `sha256:${toHash(service)}`,
    'com.docker.compose.oneoff': 'False',
    'com.docker.compose.project': project,
    'com.docker.compose.project.config_files': `${folder}/compose.yaml`,
    'com.docker.compose.project.working_dir': folder,
    'com.docker.compose.service': service,
    'com.docker.compose.version': '2.40.3',
  };
}

/** Steady and long enough to look like one. */
function toHash(text: string): string {
  let hash = 2166136261;
  let digits = '';
  while (digits.length < 64) {
    for (const character of text) hash = Math.imul(hash ^ character.charCodeAt(0), 16777619) >>> 0;
    digits += hash.toString(16).padStart(8, '0');
  }
  return digits.slice(0, 64);
}
