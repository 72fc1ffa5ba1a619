import manifest from '../package.json' with { type: 'json' };

/** Version of Troupe, from its package. */
export const { version }: { readonly version: string } = manifest;
