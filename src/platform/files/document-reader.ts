import { basename } from "node:path";
import type * as z from "zod/mini";
import { codeOf } from "./errors.ts";
import {
	newerThanUs,
	PASSING_CODES,
	readDocument,
	readNow,
	type SharedDocument,
	type SharedDocumentOptions,
	signatureOf,
	unreadableFor,
} from "./shared-document.ts";

/** Thrown on any attempt to change a document opened by {@link openDocumentReader}. */
class ReadOnlyError extends Error {
	readonly code = "EREADER";
	constructor(name: string) {
		super(`${name} is only read here`);
		this.name = "ReadOnlyError";
	}
}

/**
 * Opens a shared document for a program that changes nothing. It takes no lock, leaves a broken file in place, and
 * reads an older version as it would be after a write. Reports each problem once, and refuses changes.
 */
export function openDocumentReader<S extends z.ZodMiniType<Record<string, unknown>>>(
	options: SharedDocumentOptions<S>,
): SharedDocument<z.output<S>> {
	const { path, empty, onProblem } = options;
	const name = basename(path);
	let signature: string | undefined;
	let value = empty();
	const reported = new Set<string>();
	const report = (problem: Parameters<typeof onProblem>[0]) => {
		if (reported.has(problem.text)) return;
		reported.add(problem.text);
		onProblem(problem);
	};
	const refuse = async () => {
		throw new ReadOnlyError(name);
	};

	return {
		read: () => {
			const current = signatureOf(path);
			if (current === signature && current !== undefined) return value;
			const found = readNow(path);
			if ("why" in found) {
				// Keep the present value, and read the file again next time.
				if (!PASSING_CODES.has(codeOf(found.why) ?? "")) {
					report({ kind: "unreadable", text: unreadableFor(name, found.why) });
				}
				return value;
			}
			signature = found.bytes === undefined ? undefined : current;
			const loaded = found.bytes === undefined ? undefined : readDocument(found.bytes, options);
			value = loaded?.kind === "ok" ? loaded.value : empty();
			if (loaded?.kind === "newer") report({ kind: "newer", text: newerThanUs(name) });
			if (loaded?.kind === "corrupt") report({ kind: "corrupt", text: `${name} is damaged and cannot be read.` });
			return value;
		},
		update: refuse,
		updateOrRollBack: refuse,
		updateDebounced: () => {
			throw new ReadOnlyError(name);
		},
		flush: async () => undefined,
	};
}
