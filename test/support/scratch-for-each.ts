import { afterEach, beforeEach } from "vitest";
import { aScratch, type Scratch } from "./fakes.ts";

/** A folder of its own for each test of the file or group that calls this, removed after everything else. */
export function scratchForEach(): Scratch {
	let scratch: Scratch | undefined;
	const own = () => {
		if (!scratch) throw new Error("there is a folder in a test alone");
		return scratch;
	};
	beforeEach(() => {
		scratch = aScratch();
	});
	afterEach(() => scratch?.remove());
	return {
		get dir() {
			return own().dir;
		},
		path: (name) => own().path(name),
		write: (name, content) => own().write(name, content),
		text: (name) => own().text(name),
		json: (name) => own().json(name),
		names: (prefix) => own().names(prefix),
		remove: () => own().remove(),
	};
}
