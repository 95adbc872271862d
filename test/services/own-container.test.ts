import { readFileSync } from 'node:fs';
import t from 'tap';
import { ownContainer, readOwnContainer } from '../../src/services/own-container.ts';

const own = '00eab47273c928b6eb1e081fbd1f23ac5ab93eae103e5d536ee3f6ab52153be3';
const other = 'c555e5594ea94985e6d197c0f20bc45be6d8ea98fbf77e1cfdc1c1d558f9bfbe';
const layer = 'a02d83798f92ca42d48d3dd6d0b115de936c9b2621561e8330937cfc22fbcf52';

/** The id alone, of whatever certainty. */
const idOf = (mountinfo: string, cgroup: string) => ownContainer(mountinfo, cgroup)?.id ?? null;

const lines = (...all: string[]) => `${all.join('\n')}\n`;
const controllers = ['cpu', 'memory', 'devices', 'pids'];

/** A root made of layers, whose ids are none of a container. */
const overlay = `159 80 0:60 / / rw,relatime master:8 - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/NAZOG43AOMMIM76FGDOWLJMM5E,upperdir=/var/lib/docker/overlay2/${layer}/diff,workdir=/var/lib/docker/overlay2/${layer}/work`;
const proc = '160 159 0:63 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw';
const shm = '175 161 0:68 / /dev/shm rw,nosuid,nodev,noexec,relatime - tmpfs shm rw,size=65536k';

/** The files that an engine mounts into a container, from a folder of its own. */
const files = (folder: string) =>
  ['resolv.conf', 'hostname', 'hosts'].map(
    (file, n) => `${176 + n} 159 254:0 ${folder}/${file} /etc/${file} rw,relatime - ext4 /dev/vda1 rw,discard`,
  );

const cgroupMounts = (path: string) =>
  controllers.map(
    (name, n) => `${165 + n} 164 0:${29 + n} ${path} /sys/fs/cgroup/${name} ro,relatime - cgroup cgroup rw,${name}`,
  );
const cgroups = (path: string) => lines(...controllers.map((name, n) => `${4 - n}:${name}:${path}`), `0::${path}`);
const cgroup2 = (path: string) => lines(`0::${path}`);
const cgroup2Mount = '164 163 0:27 / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw,nsdelegate';

t.test('Docker with cgroup v1 tells it in both', async (t) => {
  const mountinfo = lines(
    overlay,
    proc,
    ...cgroupMounts(`/docker/${own}`),
    shm,
    ...files(`/var/lib/docker/containers/${own}`),
  );
  t.equal(idOf(mountinfo, cgroups(`/docker/${own}`)), own);
  t.equal(idOf(mountinfo, ''), own);
  t.equal(idOf('', cgroups(`/docker/${own}`)), own);
  t.equal(idOf('', cgroups(`/system.slice/docker-${own}.scope`)), own, 'by systemd');
});

t.test('Docker with cgroup v2 tells it by the files that it mounts', async (t) => {
  const mountinfo = (folder: string) => lines(overlay, proc, cgroup2Mount, shm, ...files(folder));
  t.equal(idOf(mountinfo(`/var/lib/docker/containers/${own}`), cgroup2('/')), own);
  t.equal(idOf(mountinfo(`/containers/${own}`), cgroup2('/')), own, 'on a disk of its own');
  t.equal(idOf(mountinfo(`/srv/data root/containers/${own}`), cgroup2('/')), own, 'in another folder');
  t.equal(idOf(mountinfo('/elsewhere'), cgroup2(`/system.slice/docker-${own}.scope`)), own);
  t.equal(idOf(lines(overlay, cgroup2Mount), cgroup2('/')), null, 'where nothing tells there is none');
});

t.test('Podman tells it, as root or not', async (t) => {
  const mountinfo = (folder: string) => lines(overlay, proc, cgroup2Mount, shm, ...files(`${folder}/${own}/userdata`));
  const folders = [
    '/containers/storage/overlay-containers',
    '/run/containers/storage/overlay-containers',
    '/containers/overlay-containers',
  ];
  for (const folder of folders) t.equal(idOf(mountinfo(folder), cgroup2('/')), own, folder);
  const paths = [
    `/machine.slice/libpod-${own}.scope`,
    `/machine.slice/libpod-${own}.scope/container`,
    `/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-${own}.scope/container`,
    `/libpod_parent/libpod-${own}`,
  ];
  for (const path of paths) {
    t.equal(idOf('', cgroup2(path)), own, path);
    t.equal(idOf('', cgroups(path)), own, `${path}, v1`);
  }
});

t.test('a machine is no container, though containers run on it', async (t) => {
  const mountinfo = lines(
    '22 27 0:21 / /proc rw,relatime - proc proc rw',
    '27 1 254:0 / / rw,relatime - ext4 /dev/vda1 rw,discard',
    '31 23 0:28 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw',
    `52 44 0:39 / /var/lib/docker/overlay2/${layer}/merged rw,relatime shared:6 - overlay overlay rw,upperdir=/var/lib/docker/overlay2/${layer}/diff`,
    `53 27 0:40 / /var/lib/docker/containers/${other}/mounts/shm rw,nosuid - tmpfs shm rw,size=65536k`,
    '107 27 0:4 net:[4026532331] /run/docker/netns/a193f8e76eb2 rw - nsfs nsfs rw',
    `54 27 0:41 / /var/lib/containers/storage/overlay-containers/${other}/userdata/shm rw - tmpfs shm rw`,
    `55 27 0:42 / /var/lib/containers/storage/overlay/${layer}/merged rw - overlay overlay rw`,
  );
  const sessions = [
    cgroup2('/user.slice/user-1000.slice/session-2.scope'),
    cgroup2('/system.slice/docker.service'),
    cgroup2(`/machine.slice/libpod-conmon-${other}.scope`),
    cgroups('/'),
    lines('4:memory:/user.slice', '0::/'),
    '',
  ];
  for (const cgroup of sessions) t.equal(idOf(mountinfo, cgroup), null, cgroup);
  t.equal(idOf('', ''), null);
});

t.test('another kind of container has no id that this engine knows', async (t) => {
  const pod = lines(
    overlay,
    '178 159 254:0 /var/lib/kubelet/pods/f4f5ba35-0c0a-4d2f-b7f0-5bd0b4a9e2f2/etc-hosts /etc/hosts rw - ext4 /dev/vda1 rw',
    `177 159 254:0 /var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/${other}/hostname /etc/hostname rw - ext4 /dev/vda1 rw`,
  );
  t.equal(idOf(pod, cgroup2(`/kubepods/besteffort/podf4f5ba35/${other}`)), null);
  t.equal(idOf('', cgroup2('/lxc/web')), null);
});

t.test('what only looks like an id is none', async (t) => {
  for (const id of [own.slice(1), `${own}0`, own.toUpperCase(), `${own.slice(1)}g`]) {
    t.equal(idOf(lines(...files(`/var/lib/docker/containers/${id}`)), cgroup2('/')), null, id);
    t.equal(idOf('', cgroup2(`/docker/${id}`)), null, id);
  }
  t.equal(idOf(`${'/containers/'.repeat(100_000)}`, `${'/docker/'.repeat(100_000)}`), null);
});

t.test('in the network of another container the files are those of the other one', async (t) => {
  const mountinfo = lines(
    overlay,
    ...cgroupMounts(`/docker/${own}`),
    shm,
    ...files(`/var/lib/docker/containers/${other}`),
  );
  t.strictSame(ownContainer(mountinfo, cgroups(`/docker/${own}`)), { id: own, isCertain: true }, 'its own group');
  t.strictSame(ownContainer(mountinfo, cgroup2('/')), { id: other, isCertain: false }, 'where it tells nothing');
});

t.test('this very process is asked for its own, and nothing is thrown where nothing can be read', async (t) => {
  const read = (name: string) => {
    try {
      return readFileSync(`/proc/self/${name}`, 'utf8');
    } catch {
      return '';
    }
  };
  t.equal(await readOwnContainer(), idOf(read('mountinfo'), read('cgroup')));
});
