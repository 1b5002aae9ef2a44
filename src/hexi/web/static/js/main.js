// On every page: countdowns, dialogs, keys, read-aloud, suggestions.
import { startClock } from "./time.js";
import { startDialogs } from "./dialogs.js";
import { startKeys } from "./keys.js";
import { startSpeech } from "./speech.js";
import { startSuggestions } from "./suggest.js";

startClock();
startDialogs();
startKeys();
startSpeech();
startSuggestions();
document.querySelector(".error-summary")?.focus();
