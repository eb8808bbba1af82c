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

/** Thrown where a change is tried through {@link openDocumentReader}. */
class ReadOnlyError extends Error {
	readonly code = "EREADER";
	constructor(name: string) {
		super(`${name} is only read here`);
		this.name = "ReadOnlyError";
	}
}

/**
 * Opens a shared document for a program that changes nothing: no lock is taken, a broken file is not moved away, and
 * one of an older version is read as it would be after a write. Each problem is reported once; a change is refused.
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
				// The present value stays, and the file is read again next time.
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
