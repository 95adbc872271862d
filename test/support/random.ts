/** Numbers from 0 up to 1 that are the same in each run with the same seed. */
export function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}

/** A seed of this run's own, or that of `FAIRLEAD_TEST_SEED`, with which a run can be repeated. */
export const runSeed = Number(process.env.FAIRLEAD_TEST_SEED || Math.floor(Math.random() * 2_147_483_648));
