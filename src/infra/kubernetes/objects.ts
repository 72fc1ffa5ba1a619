/** What is read of the objects of Kubernetes; all else in them is not ours to know. */
import { z } from 'zod';

const owner = z.object({ apiVersion: z.string(), kind: z.string(), name: z.string(), uid: z.string() });

export const podSeen = z.object({
  metadata: z.object({ ownerReferences: z.array(owner).default([]) }),
  /** Absent until the pod has a place. */
  spec: z.object({ nodeName: z.string().optional() }),
});
export const podsSeen = z.object({ items: z.array(podSeen) });

export const nodeSeen = z.object({
  status: z.object({ addresses: z.array(z.object({ type: z.string(), address: z.string() })).default([]) }),
});
export type NodeSeen = z.infer<typeof nodeSeen>;

const ingress = z.object({ ip: z.string().optional(), hostname: z.string().optional() });
export const serviceSeen = z.object({
  spec: z.object({ ports: z.array(z.object({ port: z.number(), nodePort: z.number().optional() })).default([]) }),
  status: z
    .object({ loadBalancer: z.object({ ingress: z.array(ingress).optional() }).default({}) })
    .default({ loadBalancer: {} }),
});
export type ServiceSeen = z.infer<typeof serviceSeen>;

/** How the API server says no. */
export const statusSeen = z.object({ kind: z.literal('Status'), message: z.string() });
