import { join } from "node:path";
import type { main as mainOfSources } from "../src/cli/main.ts";
import { type Checksum, loadWithBytecode } from "./bytecode.ts";

/** The entry of the bundle of the program without pi: loads the file that every run of it reads. */

/** Name of that file. `bundle.ts` inserts it. */
declare const START_FILE: string;

/** A watch runs for days: V8 has discarded by its end what only a start needs. Milliseconds since the process began. */
const LAST_KEPT = 60_000;

const WORD_BYTES = 4;
/** One word of so many is looked at: a file that was cut off, or has a hole, lacks far more than that in a row. */
const STEP = 16;

/** Loading `node:crypto` would take longer than everything else that a line for a status bar needs. */
const SUM: Checksum = {
	bytes: WORD_BYTES,
	of: (data) => {
		const words = new Int32Array(data.buffer, data.byteOffset, Math.floor(data.length / WORD_BYTES));
		let sum = data.length;
		for (let at = 0; at < words.length; at += STEP) sum = (Math.imul(sum, 31) + (words[at] ?? 0)) | 0;
		const bytes = Buffer.alloc(WORD_BYTES);
		bytes.writeInt32LE(sum);
		return bytes;
	},
};

const loaded = loadWithBytecode(join(__dirname, START_FILE), SUM);

export const main: typeof mainOfSources = async (words) => {
	const program: { readonly main: typeof mainOfSources } = loaded.exports;
	await program.main(words);
	// The output has been written by then.
	if (loaded.keep && performance.now() < LAST_KEPT) process.once("exit", loaded.keep);
};
