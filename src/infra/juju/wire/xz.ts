/**
 * The container format .xz around bytes as they are: readers of a bag expect it, Node cannot compress like that, and what goes into
 * bags is small. (The format: https://tukaani.org/xz/xz-file-format.txt; chunks of LZMA2 may be stored.)
 */
import { crc32 } from 'node:zlib';

const magic = Buffer.from('\xFD7zXZ\0', 'latin1');
/** Each block is checked by a CRC32. */
const flags = Buffer.from([0, 1]);
const longestChunk = 0x1_0000;

export const storedXz = (content: Buffer): Buffer => {
  // One filter, LZMA2, with the smallest dictionary: nothing refers to what came before.
  const blockHeader = checked(Buffer.from([2, 0, 0x21, 1, 0, 0, 0, 0]));
  const data = chunksOf(content);
  const check = uint32(crc32(content));
  const unpadded = blockHeader.length + data.length + check.length;
  const index = checked(padded(Buffer.from([0, 1, ...variable(unpadded), ...variable(content.length)])));
  const footer = Buffer.concat([uint32(index.length / 4 - 1), flags]);
  return Buffer.concat([
    magic,
    checked(flags),
    blockHeader,
    padded(data),
    check,
    index,
    uint32(crc32(footer)),
    footer,
    Buffer.from('YZ'),
  ]);
};

/** Nothing at all has no chunk. */
const chunksOf = (content: Buffer): Buffer => {
  const chunks: Buffer[] = [];
  for (let at = 0; at < content.length; at += longestChunk) {
    const chunk = content.subarray(at, at + longestChunk);
    // Stored; the first one begins a dictionary.
    const size = chunk.length - 1;
    chunks.push(Buffer.from([at === 0 ? 1 : 2, size >>> 8, size & 0xff]), chunk);
  }
  return Buffer.concat([...chunks, Buffer.from([0])]);
};

const checked = (part: Buffer): Buffer => Buffer.concat([part, uint32(crc32(part))]);

const padded = (part: Buffer): Buffer => Buffer.concat([part, Buffer.alloc((4 - (part.length % 4)) % 4)]);

const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};

/** Seven bits a byte, the lowest first. */
const variable = (value: number): readonly number[] =>
  value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...variable(Math.floor(value / 0x80))];
