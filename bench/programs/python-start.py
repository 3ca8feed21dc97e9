"""A program that needs some thirty modules of the standard library, and says when it has them."""
import argparse, asyncio, base64, bz2, collections, concurrent.futures, configparser, csv, ctypes, dataclasses
import datetime, decimal, difflib, email.message, fractions, hashlib, http.client, http.server, inspect, json, logging
import lzma, multiprocessing, pathlib, random, shutil, socket, sqlite3, ssl, statistics, subprocess, tarfile, tempfile
import typing, unittest, urllib.request, uuid, xml.etree.ElementTree, zipfile

print("ready", flush=True)
