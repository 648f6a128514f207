// Verifies exports of a ledger with golang.org/x/mod/sumdb/{note,tlog}, which know nothing of Demur.
//
// Each line of standard input is a folder, a policy file and the number of records, divided by tabs. Each line of
// standard output is `accept <size of the newest checkpoint>` or `reject <reason>`.
package main

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

// cosigner verifies C2SP cosignature/v1 as a note.Verifier.
type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (c *cosigner) Name() string    { return c.name }
func (c *cosigner) KeyHash() uint32 { return c.hash }
func (c *cosigner) Verify(msg, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	head := fmt.Sprintf("cosignature/v1\ntime %d\n", binary.BigEndian.Uint64(sig))
	return ed25519.Verify(c.key, append([]byte(head), msg...), sig[8:])
}

func newCosigner(vkey string) (*cosigner, error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		return nil, errors.New("malformed witness key")
	}
	data, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(data) != 33 || data[0] != 4 {
		return nil, errors.New("malformed witness key")
	}
	sum := sha256.Sum256(append([]byte(parts[0]+"\n"), data...))
	return &cosigner{parts[0], binary.BigEndian.Uint32(sum[:]), data[1:]}, nil
}

// policy is the part of C2SP tlog-policy that the tests use: logs, witnesses, a quorum of one witness or none.
type policy struct {
	known   []note.Verifier
	logs    map[string]bool
	witness map[string]string
	quorum  string
}

func readPolicy(path string) (*policy, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p := &policy{logs: map[string]bool{}, witness: map[string]string{"none": ""}}
	for _, line := range strings.Split(string(data), "\n") {
		words := strings.Fields(line)
		switch {
		case len(words) == 2 && words[0] == "log":
			v, err := note.NewVerifier(words[1])
			if err != nil {
				return nil, err
			}
			p.known = append(p.known, v)
			p.logs[v.Name()] = true
		case len(words) == 3 && words[0] == "witness":
			v, err := newCosigner(words[2])
			if err != nil {
				return nil, err
			}
			p.known = append(p.known, v)
			p.witness[words[1]] = v.Name()
		case len(words) == 2 && words[0] == "quorum":
			p.quorum = words[1]
		}
	}
	return p, nil
}

// openCheckpoint gives the size and root that the log signed, and the quorum where it has to.
func openCheckpoint(data []byte, p *policy, needsQuorum bool) (tlog.Tree, error) {
	var tree tlog.Tree
	n, err := note.Open(data, note.VerifierList(p.known...))
	if err != nil {
		return tree, err
	}
	signed := map[string]bool{}
	for _, sig := range append(n.Sigs, n.UnverifiedSigs...) {
		if _, err := base64.StdEncoding.Strict().DecodeString(sig.Base64); err != nil {
			return tree, err
		}
	}
	for _, sig := range n.Sigs {
		signed[sig.Name] = true
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) < 4 || !p.logs[lines[0]] || !signed[lines[0]] {
		return tree, errors.New("not signed by the log")
	}
	if name := p.witness[p.quorum]; needsQuorum && name != "" && !signed[name] {
		return tree, errors.New("not signed by the witness")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || strconv.FormatInt(size, 10) != lines[1] {
		return tree, errors.New("malformed size")
	}
	hash, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: hash}, err
}

// tilePath turns tlog's name of a tile, which holds the height, into that of C2SP.
func tilePath(t tlog.Tile) string {
	if t.L == -1 {
		return strings.Replace(t.Path(), fmt.Sprintf("tile/%d/data/", height), "tile/entries/", 1)
	}
	return strings.Replace(t.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
}

// log is what was read of an export: the stored hashes of the tree over its entries.
type log struct {
	folder string
	hashes []tlog.Hash
}

func (l *log) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if index >= int64(len(l.hashes)) {
			return nil, errors.New("beyond the entries")
		}
		found[i] = l.hashes[index]
	}
	return found, nil
}

func (l *log) Height() int { return height }
func (l *log) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, t := range tiles {
		data, err := os.ReadFile(filepath.Join(l.folder, tilePath(t)))
		if err != nil {
			return nil, err
		}
		if len(data) != t.W*tlog.HashSize {
			return nil, fmt.Errorf("%s has another length", tilePath(t))
		}
		found = append(found, data)
	}
	return found, nil
}
func (l *log) SaveTiles([]tlog.Tile, [][]byte) {}

type leaf struct {
	Log      string `json:"log"`
	Sequence *int64 `json:"sequence"`
	Previous string `json:"previous_hash"`
}

// readEntries reads bundles up to size and adds each record to the tree, following the chain.
func (l *log) readEntries(size int64) error {
	previous := strings.Repeat("0", 64)
	name := ""
	for n := int64(0); n*256 < size; n++ {
		width := min(256, size-n*256)
		t := tlog.Tile{H: height, L: -1, N: n, W: int(width)}
		data, err := os.ReadFile(filepath.Join(l.folder, tilePath(t)))
		if err != nil {
			return err
		}
		for i := n * 256; i < n*256+width; i++ {
			if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
				return errors.New("a bundle is cut off")
			}
			end := 2 + int(binary.BigEndian.Uint16(data))
			record := data[2:end]
			data = data[end:]
			var members leaf
			if err := json.Unmarshal(record, &members); err != nil {
				return err
			}
			if members.Sequence == nil || *members.Sequence != i || members.Previous != previous {
				return fmt.Errorf("record %d does not follow", i)
			}
			if name == "" {
				name = members.Log
			}
			if members.Log != name || name == "" {
				return fmt.Errorf("record %d is of another log", i)
			}
			hashes, err := tlog.StoredHashes(i, record, l)
			if err != nil {
				return err
			}
			l.hashes = append(l.hashes, hashes...)
			hash := tlog.RecordHash(record)
			previous = fmt.Sprintf("%x", hash[:])
		}
		if len(data) != 0 {
			return errors.New("a bundle holds more than its records")
		}
	}
	return nil
}

// checkTree compares the tiles with the entries, and the root with the checkpoint.
func (l *log) checkTiles(size int64) error {
	for _, t := range tlog.NewTiles(height, 0, size) {
		expected, err := tlog.ReadTileData(t, l)
		if err != nil {
			return err
		}
		found, err := os.ReadFile(filepath.Join(l.folder, tilePath(t)))
		if err != nil {
			return err
		}
		if !bytes.Equal(found, expected) {
			return fmt.Errorf("%s is not the tile over the records", tilePath(t))
		}
	}
	return nil
}

func (l *log) checkTree(tree tlog.Tree) error {
	root, err := tlog.TreeHash(tree.N, l)
	if err != nil {
		return err
	}
	if root != tree.Hash {
		return errors.New("the checkpoint has another root than the records")
	}
	return nil
}

// checkProofs proves some records and some earlier trees from the tiles, and checks the proofs.
func (l *log) checkProofs(tree tlog.Tree) error {
	tiles := tlog.TileHashReader(tree, l)
	for i := int64(0); i < tree.N; i += 1 + tree.N/7 {
		record, err := tlog.ProveRecord(tree.N, i, tiles)
		if err != nil {
			return err
		}
		if err := tlog.CheckRecord(record, tree.N, tree.Hash, i, l.hashes[tlog.StoredHashIndex(0, i)]); err != nil {
			return err
		}
		old, err := tlog.TreeHash(i+1, l)
		if err != nil {
			return err
		}
		growth, err := tlog.ProveTree(tree.N, i+1, tiles)
		if err != nil {
			return err
		}
		if err := tlog.CheckTree(growth, tree.N, tree.Hash, i+1, old); err != nil {
			return err
		}
	}
	return nil
}

func verify(folder, policyPath string, size int64) (int64, error) {
	p, err := readPolicy(policyPath)
	if err != nil {
		return 0, err
	}
	data, err := os.ReadFile(filepath.Join(folder, "checkpoint"))
	if err != nil {
		return 0, err
	}
	newest, err := openCheckpoint(data, p, true)
	if err != nil {
		return 0, err
	}
	trees := []tlog.Tree{newest}
	earlier, _ := filepath.Glob(filepath.Join(folder, "checkpoints", "*"))
	for _, path := range earlier {
		data, err := os.ReadFile(path)
		if err != nil {
			return 0, err
		}
		tree, err := openCheckpoint(data, p, false)
		if err != nil {
			return 0, err
		}
		trees = append(trees, tree)
	}
	for _, end := range []int64{newest.N, max(size, newest.N)} {
		l := &log{folder: folder}
		if err := l.readEntries(end); err != nil {
			return 0, err
		}
		if err := l.checkTiles(end); err != nil {
			return 0, err
		}
		for _, tree := range trees {
			if err := l.checkTree(tree); err != nil {
				return 0, err
			}
		}
		if end == newest.N && end > 0 {
			if err := l.checkProofs(newest); err != nil {
				return 0, err
			}
		}
	}
	return newest.N, nil
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Split(lines.Text(), "\t")
		size, err := strconv.ParseInt(words[len(words)-1], 10, 64)
		if len(words) != 3 || err != nil {
			fmt.Println("reject a malformed question")
			continue
		}
		if newest, err := verify(words[0], words[1], size); err != nil {
			fmt.Println("reject", strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Println("accept", newest)
		}
	}
}
