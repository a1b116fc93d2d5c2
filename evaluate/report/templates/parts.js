// The parts of the examples. A page of an ordinary size contains them; those of a large one are scripts in a folder
// beside it, because browsers let a page that was opened from a disk load scripts, but no other files.
const received = new Map(); // name -> content of a part

// Called by the scripts of the folder.
function receive(name, text) {
  received.set(name, text);
}

function make(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
  node.append(...children.filter((child) => child !== null));
  return node;
}

async function unpack(text) {
  const characters = atob(text), bytes = new Uint8Array(characters.length);
  for (let place = 0; place < bytes.length; place += 1) bytes[place] = characters.charCodeAt(place);
  const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Response(plain).json();
}

class Parts {
  constructor(data) {
    [this.folder, this.address] = [data.dataset.folder, data.dataset.address];
    this.promises = new Map();
    for (const line of data.textContent.split("\n").filter(Boolean)) receive(...line.split(" "));
  }

  // A promise of a part; parts are loaded once.
  load(name) {
    if (!this.promises.has(name)) this.promises.set(name, this.read(name));
    return this.promises.get(name);
  }

  async read(name) {
    try {
      if (!received.has(name)) await this.fetch(name);
      return await unpack(received.get(name));
    } catch {
      throw new Error("The examples are not shown: " + (this.folder
        ? `${this.folder}/${name}.js is missing or damaged. Keep this page and its folder together.`
        : "this page is damaged, or this browser is too old."));
    } finally {
      received.delete(name);
    }
  }

  async fetch(name) {
    const script = make("script", { src: `${this.address}/${name}.js` });
    try {
      await new Promise((resolve, reject) => {
        script.addEventListener("load", resolve);
        script.addEventListener("error", reject);
        document.head.append(script);
      });
    } finally {
      script.remove();
    }
  }
}
