import { expect, it } from "vitest";
import { createOwnPresence } from "../../../../src/platform/shared-pool/own-presence.ts";

it("is due at the next look once the machine has another name, and not before", () => {
	let machine = "one";
	const presence = createOwnPresence({
		machine: () => machine,
		sessions: () => ({}),
		clock: { now: () => 0 },
		after: () => () => undefined,
		onDue: () => undefined,
	});
	presence.noteLook();
	expect(presence.toStore()).toEqual({ machine: "one", sessions: {} });
	presence.wasStored({ machine: "one", sessions: {} });
	presence.noteLook();
	expect(presence.toStore()).toBeUndefined();
	machine = "uno";
	presence.noteLook();
	expect(presence.toStore()).toEqual({ machine: "uno", sessions: {} });
});
